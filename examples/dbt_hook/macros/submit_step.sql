{#- Submit a step of FLEET-Q: a row of the table STEP_INBOX, whose schema is the variable fleet_q. -#}
{%- macro submit_step(task_type, arguments={}, unique_key=none) -%}
INSERT INTO {{ var('fleet_q') }}.STEP_INBOX (task_type, payload, unique_key)
SELECT {{ fleet_q_text(task_type) }}, {{ fleet_q_text(tojson(arguments)) }}, {{ fleet_q_text(unique_key) }}
{%- endmacro -%}

{#- A text in SQL: Snowflake reads backslashes and quotes in it. -#}
{%- macro fleet_q_text(text) -%}
{%- if text is none -%}
NULL
{%- else -%}
'{{ text | replace('\\', '\\\\') | replace("'", "''") }}'
{%- endif -%}
{%- endmacro -%}

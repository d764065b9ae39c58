CREATE HYBRID TABLE {hybrid} (
    id    VARCHAR        NOT NULL PRIMARY KEY,
    n     NUMBER(38, 0)  NOT NULL,
    text  VARCHAR
)

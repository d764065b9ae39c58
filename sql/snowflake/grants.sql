-- The privileges of pods and clients. They read the tables, and write them only by procedures,
-- which have the privileges of their owner.
GRANT USAGE ON WAREHOUSE {warehouse} TO ROLE {role};
GRANT USAGE ON DATABASE {database} TO ROLE {role};
GRANT USAGE ON SCHEMA {database}.{schema} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{step_events} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{pod_events} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{step_tracker} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{pod_health} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{pod_heartbeats} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{step_progress} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{sync_requests} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{queues} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{queue_events} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{schedules} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{schedule_events} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{alerts} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{step_inbox} TO ROLE {role};
GRANT SELECT ON TABLE {database}.{schema}.{fleet_q} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{sync_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{exchange_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{confirm_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{take_in_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{spawn_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{submit_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{change_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{save_checkpoint_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{set_queue_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{write_schedule_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{write_alert_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{declare_dead_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{fold_heartbeats_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{expire_procedure} TO ROLE {role};
GRANT USAGE ON PROCEDURE {database}.{schema}.{recover_procedure} TO ROLE {role};

-- For a separate role of operators: fleet-q rebuild and fleet-q prune. The role that owns the
-- procedures may call them already. With FLEET_Q_PRUNE_AFTER the leader prunes, so {role} needs the
-- first two.
--   GRANT USAGE ON PROCEDURE {database}.{schema}.{prune_steps_procedure} TO ROLE your_operators;
--   GRANT USAGE ON PROCEDURE {database}.{schema}.{prune_pod_procedure} TO ROLE your_operators;
--   GRANT USAGE ON PROCEDURE {database}.{schema}.{replace_steps_procedure} TO ROLE your_operators;
--   GRANT USAGE ON PROCEDURE {database}.{schema}.{replace_pods_procedure} TO ROLE your_operators;
--   GRANT USAGE ON PROCEDURE {database}.{schema}.{replace_queues_procedure} TO ROLE your_operators;
--   GRANT USAGE ON PROCEDURE {database}.{schema}.{write_schedule_procedure} TO ROLE your_operators;

-- For roles that submit steps by SQL and may do nothing else.
--   GRANT USAGE ON DATABASE {database} TO ROLE your_submitters;
--   GRANT USAGE ON SCHEMA {database}.{schema} TO ROLE your_submitters;
--   GRANT INSERT ON TABLE {database}.{schema}.{step_inbox} TO ROLE your_submitters;

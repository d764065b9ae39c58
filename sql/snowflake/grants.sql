-- The privileges of pods and clients. They create and delete nothing.
GRANT USAGE ON WAREHOUSE {warehouse} TO ROLE {role};
GRANT USAGE ON DATABASE {database} TO ROLE {role};
GRANT USAGE ON SCHEMA {database}.{schema} TO ROLE {role};
GRANT SELECT, INSERT ON TABLE {database}.{schema}.{step_events} TO ROLE {role};
GRANT SELECT, INSERT ON TABLE {database}.{schema}.{pod_events} TO ROLE {role};
GRANT SELECT, INSERT, UPDATE ON TABLE {database}.{schema}.{step_tracker} TO ROLE {role};
GRANT SELECT, INSERT, UPDATE ON TABLE {database}.{schema}.{pod_health} TO ROLE {role};
GRANT SELECT, UPDATE ON TABLE {database}.{schema}.{fleet_q} TO ROLE {role};

-- For a separate role of operators: fleet-q rebuild and fleet-q prune delete rows. The role that
-- owns the tables has these privileges already. With FLEET_Q_PRUNE_AFTER the leader prunes, so
-- {role} needs them too.
--   GRANT DELETE ON TABLE {database}.{schema}.{step_tracker} TO ROLE your_operators;
--   GRANT DELETE ON TABLE {database}.{schema}.{pod_health} TO ROLE your_operators;
--   GRANT DELETE ON TABLE {database}.{schema}.{step_events} TO ROLE your_operators;
--   GRANT DELETE ON TABLE {database}.{schema}.{pod_events} TO ROLE your_operators;

-- What a pod, and whoever submits or looks, has to be granted: it makes nothing and deletes nothing.
GRANT USAGE ON WAREHOUSE {warehouse} TO ROLE {role};
GRANT USAGE ON DATABASE {database} TO ROLE {role};
GRANT USAGE ON SCHEMA {database}.{schema} TO ROLE {role};
GRANT SELECT, INSERT ON TABLE {database}.{schema}.{step_events} TO ROLE {role};
GRANT SELECT, INSERT ON TABLE {database}.{schema}.{pod_events} TO ROLE {role};
GRANT SELECT, INSERT, UPDATE ON TABLE {database}.{schema}.{step_tracker} TO ROLE {role};
GRANT SELECT, INSERT, UPDATE ON TABLE {database}.{schema}.{pod_health} TO ROLE {role};
GRANT SELECT, UPDATE ON TABLE {database}.{schema}.{fleet_q} TO ROLE {role};

-- For operators only, under a role of their own: fleet-q rebuild deletes rows, and so does fleet-q
-- prune. The role that owns the tables may do so anyway. A fleet whose leader is to prune, by
-- FLEET_Q_PRUNE_AFTER, needs these for {role} too.
--   GRANT DELETE ON TABLE {database}.{schema}.{step_tracker} TO ROLE your_operators;
--   GRANT DELETE ON TABLE {database}.{schema}.{pod_health} TO ROLE your_operators;
--   GRANT DELETE ON TABLE {database}.{schema}.{step_events} TO ROLE your_operators;
--   GRANT DELETE ON TABLE {database}.{schema}.{pod_events} TO ROLE your_operators;

USE SCHEMA {database}.{schema};

-- The name marks the transaction as one of the fleet's, so that other pods may end it if abandoned.
BEGIN TRANSACTION NAME {transaction}

-- By the name others know it for one of the fleet's, should it be abandoned.
BEGIN TRANSACTION NAME {transaction}

-- Whether the claim of a row that a sync changed may stand: not if its queue had got limits by the time
-- at which the sync had its lock, while its first UPDATE did not see them yet.
(
    :within_limits OR change_type <> 'claimed'
    OR queue NOT IN (SELECT queue FROM {queues} WHERE {{has_limits}})
)

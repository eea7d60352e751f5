-- The turns that campaigns of one account take.

-- name: take_turn!
-- Move a campaign on in the order of turns by :calls over its weight, from where it is or from where its account is.
-- Needs lock_account. It is `next_turn` of outdial.domain.policies.turns.
with account as (
  update provider_accounts a
  set turn = greatest(a.turn, m.turn)
  from campaigns m
  where a.id = :provider_account_id and m.id = :campaign_id
  returning a.turn
)
update campaigns m
set turn = account.turn + :calls::float8 / (m.share << (m.priority - 1))
from account
where m.id = :campaign_id;

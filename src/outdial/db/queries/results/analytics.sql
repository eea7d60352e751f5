-- Analytics: what calls came to, by caller number, agent, hour, attempt, list, sentiment and success.

-- name: analyze_calls
-- returns: list[CallGroup]
-- row: The calls of an organization that have one value in one dimension. `total` is the dimension of all calls.
-- null: value, label, :campaign_id
-- plan: custom
-- Count calls of an organization by dimension and value, in one pass. The hour is that on the contact's clock when the
-- call was allowed, the agent is the one that the request names, and the list is the import that added the contact. The
-- values of a dimension come with the most calls first.
select g.dimension, g.value, i.file_name as label, g.calls, g.finished, g.refused, g.reached, g.talk_ms, g.cost_cents
from (
  select
    case grouping(f.number, f.agent, f.hour, f.attempt, f.list, f.sentiment, f.success)
      when 63 then 'caller_numbers' when 95 then 'agents' when 111 then 'hours' when 119 then 'attempts'
      when 123 then 'lists' when 125 then 'sentiments' when 126 then 'successes' else 'total'
    end as dimension,
    coalesce(f.number, f.agent, f.hour, f.attempt, f.list, f.sentiment, f.success) as value,
    count(*) as calls, count(f.outcome) as finished, count(*) filter (where f.status = 'refused') as refused,
    count(*) filter (where f.outcome = any (:reached::text[])) as reached,
    coalesce(sum(f.duration_ms), 0)::bigint as talk_ms, coalesce(sum(f.cost_cents), 0) as cost_cents
  from (
    select c.from_number as number, coalesce(c.request ->> 'override_agent_id', m.retell_agent_id) as agent,
      substr(jsonb_path_query_first(c.decision, '$.local_times.*') #>> '{}', 12, 2) as hour,
      c.attempt_number::text as attempt, cc.import_id::text as list, c.analysis ->> 'user_sentiment' as sentiment,
      c.analysis ->> 'call_successful' as success, c.status, c.outcome, c.duration_ms, c.cost_cents
    from calls c
    join campaigns m on m.id = c.campaign_id
    join campaign_contacts cc on cc.id = c.campaign_contact_id
    where c.organization_id = :organization_id and c.created_at >= :since and c.created_at < :until
      and (:campaign_id::uuid is null or c.campaign_id = :campaign_id) and c.status <> 'released'
  ) f
  group by grouping sets ((f.number), (f.agent), (f.hour), (f.attempt), (f.list), (f.sentiment), (f.success), ())
) g
left join imports i on g.dimension = 'lists' and i.id::text = g.value and i.organization_id = :organization_id
order by g.dimension, g.calls desc, g.value;

-- name: count_conversations
-- returns: Conversations
-- row: Contacts of a campaign that were reached, and conversations whose analysis says whether they succeeded.
-- Count the conversations of a campaign. A contact is reached if a person was reached in one of its calls.
select count(distinct campaign_contact_id) as reached,
  count(*) filter (where analysis ->> 'call_successful' in ('true', 'false')) as judged,
  count(*) filter (where analysis ->> 'call_successful' = 'true') as successful
from calls
where campaign_id = :campaign_id and status = 'ended' and outcome = any (:reached::text[]);

-- name: answer_rates
-- returns: list[AnswerRate]
-- row: Finished calls of one attempt in one hour of the contact's day, and those that reached a person.
-- Count the newest finished calls of a campaign by hour and attempt; later attempts count as the last one.
select f.hour, f.attempt, count(*) as calls, count(*) filter (where f.outcome = any (:reached::text[])) as reached
from (
  select substr(jsonb_path_query_first(decision, '$.local_times.*') #>> '{}', 12, 2) as hour,
    least(attempt_number, :last_attempt::integer) as attempt, outcome
  from calls
  where campaign_id = :campaign_id and outcome is not null
  order by created_at desc
  limit :newest
) f
where f.hour ~ '^[0-2][0-9]$'
group by f.hour, f.attempt
order by f.hour, f.attempt;

-- The campaigns `m`, the contacts `k` and the agents `g` of calls in `c`. The agent is the one that the request names, or
-- else that of the campaign: `chosen.agent_id`, also where no dialer has read its name.
join campaigns m on m.id = c.campaign_id
join contacts k on k.id = c.contact_id
cross join lateral (select coalesce(c.request ->> 'override_agent_id', m.retell_agent_id) as agent_id) chosen
left join agents g on g.provider_account_id = c.provider_account_id and g.agent_id = chosen.agent_id

-- A bulk job that makes a new campaign from contacts is called so, and a retry of contacts is called a retry: "call
-- again" is the decision about a contact in review, and nothing else. No released version has either name.

-- Validated in a later migration.
-- squawk-ignore ban-drop-constraint
alter table public.bulk_jobs drop constraint bulk_jobs_action_check;
update public.bulk_jobs set action = 'new_campaign' where action = 'call_again';
alter table public.bulk_jobs add constraint bulk_jobs_action_check
  check (action in ('retry', 'skip', 'decide', 'new_campaign')) not valid;
-- squawk-ignore renaming-object
alter function private.call_contacts_again(uuid, uuid[], timestamptz, text, timestamptz) rename to retry_contacts;

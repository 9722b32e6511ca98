/** The tables of OpenCode 2's databases, as 2.0.25 makes them, and of the `opencode-next.db` before it. */

const SESSION_COLUMNS = `slug text NOT NULL, directory text NOT NULL, path text, title text, version text NOT NULL, share_url text,
  summary_additions integer, summary_deletions integer, summary_files integer, summary_diffs text, metadata text, cost real DEFAULT 0 NOT NULL,
  tokens_input integer DEFAULT 0 NOT NULL, tokens_output integer DEFAULT 0 NOT NULL, tokens_reasoning integer DEFAULT 0 NOT NULL,
  tokens_cache_read integer DEFAULT 0 NOT NULL, tokens_cache_write integer DEFAULT 0 NOT NULL, revert text, permission text, agent text, model text,
  time_created integer NOT NULL, time_updated integer NOT NULL`

const SESSION_V2 = `CREATE TABLE session_v2 (id text PRIMARY KEY, project_id text NOT NULL, workspace_id text, parent_id text,
  fork_session_id text, fork_boundary text, ${SESSION_COLUMNS}, time_idle integer, time_viewed integer, idle_outcome text,
  time_compacting integer, time_archived integer, time_suspended integer, resume_attempts integer DEFAULT 0 NOT NULL);`

const SESSION_NEXT = `CREATE TABLE session (id text PRIMARY KEY, project_id text NOT NULL, workspace_id text, parent_id text,
  fork_session_id text, fork_message_id text, ${SESSION_COLUMNS}, time_compacting integer, time_archived integer);`

const SESSION_MESSAGE = `
  CREATE TABLE session_message (id text PRIMARY KEY, session_id text NOT NULL, type text NOT NULL, seq integer NOT NULL,
    time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL);
  CREATE UNIQUE INDEX session_message_session_seq_idx ON session_message (session_id, seq);`

const PROJECT = `CREATE TABLE IF NOT EXISTS project (id text PRIMARY KEY, worktree text NOT NULL, vcs text, name text, icon_url text, icon_url_override text,
  icon_color text, time_created integer NOT NULL, time_updated integer NOT NULL, time_initialized integer, sandboxes text NOT NULL, commands text,
  time_active integer DEFAULT 0 NOT NULL);`

const BESIDE = `
  CREATE TABLE session_inbox (id text PRIMARY KEY, session_id text, type text NOT NULL, payload text NOT NULL, delivery text NOT NULL,
    enqueued_seq integer NOT NULL, time_created integer NOT NULL);
  CREATE TABLE session_pending (id text PRIMARY KEY, session_id text, type text NOT NULL, data text NOT NULL, delivery text,
    admitted_seq integer NOT NULL, time_created integer NOT NULL);
  CREATE TABLE kv (key text PRIMARY KEY, value text NOT NULL, time_created integer NOT NULL, time_updated integer NOT NULL);
  CREATE TABLE event (id text PRIMARY KEY, aggregate_id text NOT NULL, seq integer NOT NULL, type text NOT NULL, data text NOT NULL, created integer DEFAULT 0 NOT NULL);`

export function openCode2Tables(): string {
  return PROJECT + SESSION_V2 + SESSION_MESSAGE + BESIDE
}

/** As upgrades from the betas left them: other columns last, no `time_active`. */
export function upgradedOpenCode2Tables(): string {
  const late = ['time_idle integer', 'time_viewed integer', 'idle_outcome text']
  const early = SESSION_V2.replace('time_idle integer, time_viewed integer, idle_outcome text,', '')
  const added = late.map((column) => `ALTER TABLE session_v2 ADD COLUMN ${column};`).join('\n')
  return PROJECT.replace(/,\s*time_active integer DEFAULT 0 NOT NULL/, '') + early + added + SESSION_MESSAGE + BESIDE
}

/** What else stands in a database of 2.0.25, and the indexes. */
export function openCode2OtherTables(): string {
  return `
    CREATE INDEX session_v2_project_idx ON session_v2 (project_id); CREATE INDEX session_v2_workspace_idx ON session_v2 (workspace_id);
    CREATE INDEX session_v2_parent_idx ON session_v2 (parent_id);
    CREATE INDEX session_v2_time_suspended_idx ON session_v2 (time_suspended) WHERE time_suspended IS NOT NULL;
    CREATE INDEX session_message_session_type_seq_idx ON session_message (session_id, type, seq);
    CREATE INDEX session_message_session_time_created_id_idx ON session_message (session_id, time_created, id);
    CREATE INDEX session_message_time_created_idx ON session_message (time_created);
    CREATE TABLE event_sequence (aggregate_id text PRIMARY KEY, seq integer NOT NULL, owner_id text);
    CREATE TABLE instruction_blob (hash text PRIMARY KEY, content text NOT NULL);
    CREATE TABLE instruction_entry (session_id text NOT NULL, key text NOT NULL, value text, PRIMARY KEY (session_id, key));
    CREATE TABLE instruction_state (session_id text PRIMARY KEY, data text NOT NULL);
    CREATE TABLE worktree (id text PRIMARY KEY, project_id text NOT NULL, directory text NOT NULL);
    CREATE TABLE credential (id text PRIMARY KEY, type text, data text NOT NULL);
    CREATE TABLE workspace (id text PRIMARY KEY, type text NOT NULL, project_id text NOT NULL);
    CREATE TABLE permission (id text PRIMARY KEY, project_id text NOT NULL, action text NOT NULL, resource text NOT NULL);
    CREATE TABLE project_directory (project_id text NOT NULL, directory text NOT NULL, PRIMARY KEY (project_id, directory));
    CREATE TABLE migration (id text PRIMARY KEY, time_completed integer NOT NULL);`
}

/** Before 2.0: the same rows of messages, the sessions in a table named `session`. */
export function openCodeNextTables(): string {
  return PROJECT + SESSION_NEXT + SESSION_MESSAGE
}

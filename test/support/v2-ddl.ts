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

/** Before 2.0: the same rows of messages, the sessions in a table named `session`. */
export function openCodeNextTables(): string {
  return PROJECT + SESSION_NEXT + SESSION_MESSAGE
}

/** OpenCode's V1 tables as every version of section 5.4 of the format's reference made them, and how one became the next. */

/** The versions that changed a column, in order. */
export const V1_VERSIONS = ['1.2.1', '1.2.20', '1.3.2', '1.14.34', '1.15.0', '1.17.0', '1.17.18'] as const
export type V1Version = (typeof V1_VERSIONS)[number]

const USAGE = [
  'cost real',
  'tokens_input integer',
  'tokens_output integer',
  'tokens_reasoning integer',
  'tokens_cache_read integer',
  'tokens_cache_write integer',
]
const TIMES = 'time_created integer NOT NULL, time_updated integer NOT NULL'

const FIRST = `
  CREATE TABLE project (id text PRIMARY KEY, worktree text NOT NULL, vcs text, name text, icon_url text, icon_color text, ${TIMES},
    time_initialized integer, sandboxes text NOT NULL, commands text);
  CREATE TABLE session (id text PRIMARY KEY, project_id text NOT NULL, parent_id text, slug text NOT NULL, directory text NOT NULL, title text NOT NULL,
    version text NOT NULL, share_url text, summary_additions integer, summary_deletions integer, summary_files integer, summary_diffs text, revert text,
    permission text, ${TIMES}, time_compacting integer, time_archived integer);
  CREATE TABLE message (id text PRIMARY KEY, session_id text NOT NULL, ${TIMES}, data text NOT NULL);
  CREATE TABLE part (id text PRIMARY KEY, message_id text NOT NULL, session_id text NOT NULL, ${TIMES}, data text NOT NULL);
  CREATE TABLE todo (session_id text NOT NULL, content text NOT NULL, status text NOT NULL, priority text NOT NULL, position integer NOT NULL, ${TIMES},
    PRIMARY KEY (session_id, position));
  CREATE TABLE permission (project_id text PRIMARY KEY, ${TIMES}, data text NOT NULL);
  CREATE TABLE session_share (session_id text PRIMARY KEY, id text NOT NULL, secret text NOT NULL, url text NOT NULL, ${TIMES});
  CREATE TABLE control_account (email text NOT NULL, url text NOT NULL, access_token text NOT NULL, ${TIMES}, PRIMARY KEY (email, url));
  CREATE TABLE __drizzle_migrations (id integer, hash text NOT NULL, created_at numeric);
  CREATE INDEX message_session_idx ON message (session_id);
  CREATE INDEX part_message_idx ON part (message_id);
  CREATE INDEX part_session_idx ON part (session_id);
  CREATE INDEX session_project_idx ON session (project_id);
  CREATE INDEX session_parent_idx ON session (parent_id);`

const addToSession = (...columns: readonly string[]): string => columns.map((column) => `ALTER TABLE session ADD COLUMN ${column};`).join('\n')

/** What each version did to the tables of the one before it. */
export const V1_STEPS: Readonly<Record<V1Version, string>> = {
  '1.2.1': FIRST,
  '1.2.20': `
    ${addToSession('workspace_id text')}
    CREATE TABLE workspace (id text PRIMARY KEY, type text NOT NULL, branch text, name text, directory text, extra text, project_id text NOT NULL);`,
  '1.3.2': `
    DROP INDEX message_session_idx; DROP INDEX part_message_idx;
    CREATE INDEX message_session_time_created_id_idx ON message (session_id, time_created, id);
    CREATE INDEX part_message_id_id_idx ON part (message_id, id);
    CREATE TABLE account (id text PRIMARY KEY, email text NOT NULL, url text NOT NULL, access_token text NOT NULL, ${TIMES});
    CREATE TABLE account_state (id integer PRIMARY KEY, active_account_id text);`,
  '1.14.34': `
    ${addToSession('path text', 'agent text', 'model text')}
    ALTER TABLE project ADD COLUMN icon_url_override text;
    CREATE TABLE event_sequence (aggregate_id text PRIMARY KEY, seq integer NOT NULL);
    CREATE TABLE event (id text PRIMARY KEY, aggregate_id text NOT NULL, seq integer NOT NULL, type text NOT NULL, data text NOT NULL);
    CREATE TABLE session_message (id text PRIMARY KEY, session_id text NOT NULL, type text NOT NULL, ${TIMES}, data text NOT NULL);`,
  '1.15.0': `
    ${addToSession(...USAGE.map((column) => `${column} DEFAULT 0 NOT NULL`))}
    ALTER TABLE event_sequence ADD COLUMN owner_id text;
    CREATE TABLE data_migration (name text PRIMARY KEY, time_completed integer NOT NULL);`,
  '1.17.0': `
    ${addToSession('metadata text')}
    DROP TABLE permission; DROP TABLE session_message;
    CREATE TABLE permission (id text PRIMARY KEY, project_id text NOT NULL, action text NOT NULL, resource text NOT NULL, ${TIMES});
    CREATE TABLE session_message (id text PRIMARY KEY, session_id text NOT NULL, type text NOT NULL, seq integer NOT NULL, ${TIMES}, data text NOT NULL);
    CREATE UNIQUE INDEX session_message_session_seq_idx ON session_message (session_id, seq);
    CREATE TABLE session_input (id text PRIMARY KEY, session_id text NOT NULL, prompt text NOT NULL, delivery text NOT NULL, admitted_seq integer NOT NULL,
      promoted_seq integer, time_created integer NOT NULL);
    CREATE TABLE session_context_epoch (session_id text PRIMARY KEY, baseline text NOT NULL, snapshot text NOT NULL, baseline_seq integer NOT NULL);
    CREATE TABLE project_directory (project_id text NOT NULL, directory text NOT NULL, type text, strategy text, time_created integer NOT NULL,
      PRIMARY KEY (project_id, directory));
    CREATE TABLE migration (id text PRIMARY KEY, time_completed integer NOT NULL);`,
  '1.17.18': 'CREATE TABLE credential (id text PRIMARY KEY, type text, data text NOT NULL);',
}

/** From 1.17.18 on one script makes the tables, in an order of columns that no upgraded database has. */
const FRESH_SESSION = `CREATE TABLE session (id text PRIMARY KEY, project_id text NOT NULL, workspace_id text, parent_id text, slug text NOT NULL,
  directory text NOT NULL, path text, title text NOT NULL, version text NOT NULL, share_url text, summary_additions integer, summary_deletions integer,
  summary_files integer, summary_diffs text, metadata text, ${USAGE.map((column) => `${column} DEFAULT 0 NOT NULL`).join(', ')}, revert text, permission text,
  agent text, model text, ${TIMES}, time_compacting integer, time_archived integer);`

/** All steps up to a version, each on the tables of the one before it: what an upgrade leaves, and up to 1.17.0 a fresh start too. */
export function upgradedTables(version: V1Version): string {
  return V1_VERSIONS.slice(0, V1_VERSIONS.indexOf(version) + 1)
    .map((step) => V1_STEPS[step])
    .join('\n')
}

export function freshTables(version: V1Version): string {
  if (version !== '1.17.18') return upgradedTables(version)
  return `${upgradedTables(version)} DROP TABLE session; DROP TABLE __drizzle_migrations; DROP TABLE data_migration; ${FRESH_SESSION}
    CREATE INDEX session_project_idx ON session (project_id); CREATE INDEX session_parent_idx ON session (parent_id);
    CREATE INDEX session_workspace_idx ON session (workspace_id);`
}

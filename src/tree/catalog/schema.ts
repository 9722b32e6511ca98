/**
 * The tables of the catalog.
 *
 * A row of `sessions` is one copy of a session in one store. Rows that are shown together in one order stand in one *segment*: those of one
 * store, hidden by the same other store (0: by none), and alike in whether they are children (1) or archived (2): its number is
 * `(store * 2^20 + hidden_by) * 4 + aside`. Every list is read from ranges of an index that begins with the segment, so a page costs its rows
 * and a few steps down a tree, however many rows there are.
 *
 * What a page shows stands in `sessions`; what only the next listing needs stands in `entries`, under the same number, so that a page reads
 * little.
 *
 * `crc` is of the columns of the entry with the identity of the row; the card, what a page shows, begins with its own sum. What does not fit
 * its sum was not written by this library, and is read again from its store. `stores.listed` is when the store was listed last, in epoch
 * milliseconds; NULL where not all of its sessions have a row: then it is listed before anything of it is shown. `stores.rows` and
 * `stores.digest` are the number of rows that the listing had which gave `mark`, and the sum of their `crc`: a mark is worth something only
 * beside all of its rows.
 *
 * `plain` is 1 where the card says what the entry alone says: then it needs no look while the entry stays. What a card says, or a record that
 * a store makes of the same bytes, may not change without another schema version: rows of what did not change are not made anew.
 *
 * `messages` is the number of messages as of `version`; NULL where nobody has counted since that moved, and for logs, which have an
 * `entry_count`. The number of a store is never used again, since rows name the stores that hide them.
 *
 * `checksum` is the CRC-32 of the first and of the last 4 KiB of the file (of the whole file up to 8 KiB), and `file_size` its length, as
 * the row was written; both are NULL for sessions that are rows of a database, and for what could not be read. `entry_count` is of the file.
 */

/** 'SPLC', in the header of the file. */
export const APPLICATION = 0x53504c43
export const SCHEMA_VERSION = 4

export const SCHEMA = `
CREATE TABLE stores (
  store INTEGER PRIMARY KEY AUTOINCREMENT,
  agent TEXT NOT NULL,
  kind TEXT NOT NULL,
  path TEXT NOT NULL,
  mark TEXT,
  rows INTEGER NOT NULL DEFAULT 0,
  digest INTEGER NOT NULL DEFAULT 0,
  listed REAL,
  UNIQUE (path, kind)
) STRICT;
CREATE TABLE sessions (
  row INTEGER PRIMARY KEY,
  store INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  id TEXT NOT NULL,
  card TEXT NOT NULL,
  cwd TEXT NOT NULL,
  parent TEXT,
  archived REAL,
  last_modified REAL NOT NULL,
  started_at REAL NOT NULL,
  name TEXT NOT NULL,
  name_order TEXT NOT NULL,
  tag TEXT,
  label TEXT,
  model TEXT,
  entry_count INTEGER,
  messages INTEGER,
  file_size INTEGER,
  checksum INTEGER,
  crc INTEGER NOT NULL,
  plain INTEGER NOT NULL
) STRICT;
CREATE TABLE entries (
  row INTEGER PRIMARY KEY,
  path TEXT NOT NULL,
  project TEXT NOT NULL,
  generation TEXT NOT NULL,
  version TEXT,
  record TEXT,
  damage TEXT
) STRICT;
CREATE UNIQUE INDEX sessions_key ON sessions (store, id);
CREATE INDEX sessions_parent ON sessions (parent) WHERE parent IS NOT NULL;
CREATE INDEX sessions_updated ON sessions (segment, last_modified DESC, id);
CREATE INDEX sessions_created ON sessions (segment, started_at DESC, id);
CREATE INDEX sessions_name ON sessions (segment, name_order, id);
CREATE INDEX sessions_cwd ON sessions (segment, cwd, last_modified DESC, id);
CREATE INDEX sessions_tag ON sessions (segment, tag, last_modified DESC, id) WHERE tag IS NOT NULL;
CREATE INDEX sessions_uncounted ON sessions (store, id) WHERE messages IS NULL AND entry_count IS NULL;
CREATE VIRTUAL TABLE titles USING fts5 (name, label, prompt, content = '', contentless_delete = 1, tokenize = 'ascii');
PRAGMA application_id = ${APPLICATION};
PRAGMA user_version = ${SCHEMA_VERSION};
`

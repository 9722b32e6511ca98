/** What each command does, in the order of the help. */
export const ABOUT = {
  stores: 'list every store with what it holds, what hides what, and what cannot be read',
  ls: 'list sessions, the last updated first',
  show: 'show a session',
  tail: 'show the end of a session, and what comes',
  watch: 'tell of each session that is new, changes or goes, until it is interrupted',
  grep: 'find a text in what was said, without an index; exit status 1 when it is nowhere',
  reindex: 'list every store anew, trusting nothing that was listed before, and keep what is found for `ls` and others',
  search: 'search what is indexed',
  index: 'index what is new for search; ends when nothing is left to do now',
  status: 'tell whether the index is up to date, what is pending and what went wrong last',
  forget: 'take a session and its children, or a project, out of the index and keep it out (undo: spanleaf index --include)',
  retry: 'index again what was put aside: texts that were refused, records that could not be read',
  reset: 'read a session and write its documents anew; what the cache holds is not embedded again',
  wal: 'list what is embedded and not yet in the sink',
  verify: 'read every record of every store and name what is damaged (exit 3 when anything is)',
  plan: 'list the reads that a session needs, with their price; opens none',
  spans: 'list the leaves of a session with their size and hash; parses none',
} as const

export type CommandName = keyof typeof ABOUT

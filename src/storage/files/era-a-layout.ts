/**
 * OpenCode era A (0.x): one tree per project below `<data>/project`, all of them one store.
 *
 *   <slug>/storage/session/info/<session>.json
 *   <slug>/storage/session/message/<session>/<message>.json      up to 0.1 with its parts inside
 *   <slug>/storage/session/part/<session>/<message>/<part>.json  later
 *   <slug>/storage/session/part/<message>/<part>.json            split off messages whose conversion had failed
 *
 * The slug is the worktree's path with `-` for most characters; two worktrees may share one, and `global` stands for
 * all folders outside git. Session files name neither project nor directory: the project is the slug, and the directory
 * stays '' here (a listing opens no message); `tree/rebuild.ts` takes it from the messages.
 */
import { join } from 'node:path'
import { eraACensus } from './era-a-census.js'
import type { FileLayout } from './layout.js'
import { foldersIn } from './names.js'

export function eraALayout(path: string): FileLayout {
  const inTree = (project: string | undefined, ...names: readonly string[]): string =>
    join(path, project ?? 'unknown', 'storage', 'session', ...names)
  const sessionFolders = () => foldersIn(path).map((project) => ({ project, path: inTree(project, 'info') }))
  return {
    kind: 'opencode-era-a',
    path,
    root: path,
    sessionFolders,
    messageFolder: (session, project) => inTree(project, 'message', session),
    partFolders: (session, message, project) => [inTree(project, 'part', session, message), inTree(project, 'part', message)],
    documentFile: () => undefined,
    census: (homeOf, open, slab, options) => eraACensus(path, homeOf, open, slab, options),
  }
}

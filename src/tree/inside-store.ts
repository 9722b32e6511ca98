/** Where nothing may be written: inside the stores of agents. */
import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { typeOf } from '../storage/file-type.js'
import type { Sessions } from './sessions/sessions.js'

/**
 * Whether a file or folder, which need not exist, is one of the stores, lies inside one, or stands beside a log that is a store by
 * itself; links followed.
 */
export function isInsideStore(path: string, { stores }: Pick<Sessions, 'stores'>): boolean {
  const place = realPath(resolve(path))
  return stores.some(({ path, kind }) => {
    const isOpenCode = kind.startsWith('opencode')
    // A database, and the older trees, stand in OpenCode's data folder; the home of Codex stands in that of its user.
    const folder = realPath(isOpenCode && kind !== 'opencode-json' ? dirname(path) : path)
    if (!isOpenCode && typeOf(path) === 'file') return dirname(place) === dirname(folder)
    return `${place}${sep}`.startsWith(`${folder}${sep}`)
  })
}

/** With the links of what exists followed; what does not exist yet is below it. */
function realPath(path: string): string {
  if (existsSync(path)) return realpathSync(path)
  const parent = dirname(path)
  return parent === path ? path : join(realPath(parent), basename(path))
}

/** Every file of a folder with its hash: proves that nothing was written. */
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** SQLite's own -shm, and an empty -wal, appear beside a WAL database that is only read; so both are left out. */
export function manifestOf(folder: string): Readonly<Record<string, string>> {
  const manifest: Record<string, string> = {}
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(folder, name)
    const stat = lstatSync(path)
    if (stat.isDirectory()) manifest[name] = `folder ${stat.mode}`
    else if (name.endsWith('-shm') || (name.endsWith('-wal') && stat.size === 0)) continue
    else manifest[name] = `${stat.size} ${stat.mode} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`
  }
  return manifest
}

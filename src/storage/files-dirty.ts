/** Whose files the paths are that somebody says were written to. */
import { statSync } from 'node:fs'
import { sep } from 'node:path'
import { idTime, type SessionId } from '../core/ids.js'
import type { FileLayout } from './file-layout.js'
import type { Looked } from './files-looks.js'
import type { SessionEntry } from './listing.js'
import type { StoreWork } from './store.js'

/** By session. A path that holds more than one session can have, as that of the tree, is everybody's. */
export function dirtyLeaves(
  paths: readonly string[],
  entries: readonly SessionEntry[],
  last: ReadonlyMap<SessionId, Looked>,
  layout: FileLayout,
  work: StoreWork,
): ReadonlyMap<SessionId, readonly string[]> {
  const found = new Map<SessionId, string[]>()
  if (paths.length === 0) return found
  const sessions = new Map<string, SessionId>(entries.map(({ key }) => [key.session, key.session]))
  const owners = new Map<string, SessionId>()
  for (const [id, { messages }] of last) for (const message of messages) owners.set(message, id)
  for (const path of paths) {
    const names = path
      .slice(layout.path.length)
      .split(sep)
      .flatMap((name) => (name === '' ? [] : [name.replace(/\.json$/, '')]))
    for (const id of ownersOf(names)) found.set(id, [...(found.get(id) ?? []), path])
  }
  return found

  function ownersOf(names: readonly string[]): readonly SessionId[] {
    for (const name of names) {
      const id = sessions.get(name) ?? owners.get(name)
      if (id !== undefined) return [id]
    }
    const message = names.find((name) => idTime(name, 0) !== undefined)
    if (message !== undefined) return ownerOf(message)
    return names.length <= 1 ? [...sessions.values()] : []
  }

  /** Parts stand below their message alone: which session has it is asked of the folders of messages. */
  function ownerOf(message: string): readonly SessionId[] {
    for (const { key, project } of entries) {
      work.stats++
      const path = `${layout.messageFolder(key.session, project)}/${message}.json`
      if (statSync(path, { throwIfNoEntry: false }) === undefined) continue
      owners.set(message, key.session)
      return [key.session]
    }
    return []
  }
}

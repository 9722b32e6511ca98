/** Whose files the paths are that somebody says were written to. */
import { existsSync } from 'node:fs'
import { sep } from 'node:path'
import { idTime, type SessionId } from '../../core/ids.js'
import type { SessionEntry } from '../listing.js'
import type { StoreWork } from '../store.js'
import type { FileLayout } from './layout.js'
import type { LookedBefore } from './looks.js'
import { readableNames } from './names.js'

/** By session. A path that holds more than one session can have, as that of the tree, is everybody's. */
export function dirtyLeaves(
  paths: readonly string[],
  entries: readonly SessionEntry[],
  last: ReadonlyMap<SessionId, LookedBefore>,
  layout: FileLayout,
  work: StoreWork,
): ReadonlyMap<SessionId, readonly string[]> {
  const found = new Map<SessionId, string[]>()
  if (paths.length === 0) return found
  const owners = new Map<string, SessionId>()
  for (const [id, { messages }] of last) for (const message of messages) owners.set(message, id)
  for (const { key } of entries) owners.set(key.session, key.session)
  const places = paths.map((path) => ({ path, names: namesOf(path.slice(layout.path.length)) }))
  const unknown = places.flatMap(({ names }) => (names.some((name) => owners.has(name)) ? [] : (messageIn(names) ?? [])))
  findOwners(new Set(unknown), entries, layout, work, owners)
  for (const { path, names } of places) {
    const owned = names.find((name) => owners.has(name))
    const everybodys = names.length <= 1 && messageIn(names) === undefined ? entries.map(({ key }) => key.session) : []
    const ids = owned === undefined ? everybodys : [owners.get(owned)]
    for (const id of ids) {
      if (id === undefined) continue
      const list = found.get(id)
      if (list === undefined) found.set(id, [path])
      else list.push(path)
    }
  }
  return found
}

function namesOf(path: string): readonly string[] {
  return path.split(sep).flatMap((name) => (name === '' ? [] : [name.replace(/\.json$/, '')]))
}

function messageIn(names: readonly string[]): string | undefined {
  return names.find((name) => idTime(name, 0) !== undefined)
}

/** Up to so many messages are looked for by name; for more of them the folders are read. */
const FEW = 4

/** Parts stand below their message alone: which session has it is asked of the folders of messages. */
function findOwners(
  messages: Set<string>,
  entries: readonly SessionEntry[],
  layout: FileLayout,
  work: StoreWork,
  owners: Map<string, SessionId>,
): void {
  for (const { key, project } of entries) {
    if (messages.size === 0) return
    const folder = layout.messageFolder(key.session, project)
    const isFew = messages.size <= FEW
    work.stats += isFew ? messages.size : 1
    const names = isFew ? [...messages].filter((name) => existsSync(`${folder}/${name}.json`)) : readableNames(folder, undefined, [])
    for (const name of names) if (messages.delete(name)) owners.set(name, key.session)
  }
}

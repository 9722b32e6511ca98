/** What must never be indexed, remembered between runs: `exclude.json` in spanleaf's folder. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf, StorageError, systemCode } from '../core/errors.js'
import type { Exclusion } from './engine.js'

export interface Exclusions {
  readonly directories: readonly string[]
  readonly projects: readonly string[]
  readonly sessions: readonly string[]
}

const NONE: Exclusions = { directories: [], projects: [], sessions: [] }

/** @throws StorageError STATE_DAMAGED: a list that cannot be read must not be taken for an empty one */
export function readExclusions(home: string): Exclusions {
  const path = join(home, 'exclude.json')
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return NONE
    throw new StorageError('STATE_DAMAGED', { reason: `the list of exclusions cannot be read: ${messageOf(error)}`, path }, { cause: error })
  }
  try {
    const found: Partial<Record<keyof Exclusions, unknown>> = JSON.parse(text)
    return { directories: strings(found.directories), projects: strings(found.projects), sessions: strings(found.sessions) }
  } catch (error) {
    throw new StorageError(
      'STATE_DAMAGED',
      { reason: 'the list of exclusions is not what spanleaf writes; mend or remove it', path },
      { cause: error },
    )
  }
}

/** Adds to the list and gives the new one; written beside and renamed, so that it is never half there. */
export function addExclusions(home: string, more: Exclusion): Exclusions {
  return writeExclusions(home, combine(readExclusions(home), more))
}

/** Takes from the list and gives the new one. */
export function removeExclusions(home: string, less: Exclusion): Exclusions {
  const held = readExclusions(home)
  const without = (list: readonly string[], gone: readonly string[] = []): string[] => list.filter((item) => !gone.includes(item))
  return writeExclusions(home, {
    directories: without(held.directories, less.directories),
    projects: without(held.projects, less.projects),
    sessions: without(held.sessions, less.sessions),
  })
}

function combine(held: Exclusions, more: Exclusion): Exclusions {
  const union = (list: readonly string[], others: readonly string[] = []): string[] => [...new Set([...list, ...others])]
  return {
    directories: union(held.directories, more.directories),
    projects: union(held.projects, more.projects),
    sessions: union(held.sessions, more.sessions),
  }
}

function writeExclusions(home: string, exclusions: Exclusions): Exclusions {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const path = join(home, 'exclude.json')
  writeFileSync(`${path}.${process.pid}`, `${JSON.stringify(exclusions, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${path}.${process.pid}`, path)
  return exclusions
}

function strings(value: unknown): string[] {
  if (value === undefined) return []
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
  throw new TypeError('a list of texts was expected')
}

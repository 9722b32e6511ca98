/**
 * What must never be indexed, remembered between runs: `exclude.jsonl` in spanleaf's folder.
 * Each line adds or takes back one exclusion. Lines are appended whole, so processes that write at once lose nothing.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf, StorageError, systemCode } from '../../core/errors.js'
import { folderName } from '../../core/folders.js'
import { makeFolder } from '../../tree/make-folder.js'
import type { Exclusion } from '../exclusion.js'
import { checkExclusion, checkExclusionLists } from '../exclusion-checks.js'

export interface Exclusions {
  readonly directories: readonly string[]
  readonly projects: readonly string[]
  readonly sessions: readonly string[]
}

const KINDS = ['directories', 'projects', 'sessions'] as const
type Kind = (typeof KINDS)[number]

interface Line {
  readonly op: 'exclude' | 'include'
  readonly kind: Kind
  readonly value: string
}

/** @throws StorageError EXCLUSIONS_DAMAGED: a list that cannot be read must not be taken for an empty one */
export function readExclusions(home: string): Exclusions {
  const held: Record<Kind, Set<string>> = { directories: new Set(), projects: new Set(), sessions: new Set() }
  for (const { op, kind, value } of readLines(pathIn(home))) {
    if (op === 'exclude') held[kind].add(value)
    else held[kind].delete(value)
  }
  return { directories: [...held.directories], projects: [...held.projects], sessions: [...held.sessions] }
}

/** Adds to the list and gives the new one. @throws StorageError INVALID_OPTION when something of it would exclude nothing, such as a relative folder */
export function addExclusions(home: string, more: Exclusion): Exclusions {
  checkExclusion(more)
  return append(home, 'exclude', more)
}

/** Takes from the list and gives the new one. @throws StorageError INVALID_OPTION */
export function removeExclusions(home: string, less: Exclusion): Exclusions {
  checkExclusionLists(less)
  return append(home, 'include', less)
}

function append(home: string, op: Line['op'], change: Exclusion): Exclusions {
  makeFolder(home)
  const lines = KINDS.flatMap((kind) => (change[kind] ?? []).map((value): Line => ({ op, kind, value })))
  if (lines.length > 0) appendFileSync(pathIn(home), lines.map((line) => `${JSON.stringify(line)}\n`).join(''), { mode: 0o600 })
  return readExclusions(home)
}

function readLines(path: string): readonly Line[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
    throw new StorageError('EXCLUSIONS_DAMAGED', { reason: `the list of exclusions cannot be read: ${messageOf(error)}`, path }, { cause: error })
  }
  return text.split('\n').flatMap((line, at) => (line === '' ? [] : [parseLine(line, at + 1, path)]))
}

function parseLine(text: string, number: number, path: string): Line {
  try {
    const { op, kind, value } = JSON.parse(text)
    if ((op === 'exclude' || op === 'include') && KINDS.includes(kind) && typeof value === 'string')
      // What was excluded under one spelling of its path can be taken back under another.
      return { op, kind, value: kind === 'directories' ? folderName(value) : value }
  } catch {
    // what is no JSON is named below, like any other line that is not ours
  }
  throw new StorageError('EXCLUSIONS_DAMAGED', { reason: `line ${number} of the list of exclusions is not what spanleaf writes`, path })
}

function pathIn(home: string): string {
  return join(home, 'exclude.jsonl')
}

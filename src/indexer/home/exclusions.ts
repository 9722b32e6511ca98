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
import { checkExclusion, checkExclusionLists, holdsNothing } from '../exclusion-checks.js'

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
  /** Of a session: the one that it was excluded with, which started it. Who takes that one back takes back both. */
  readonly with?: string | undefined
}

interface NumberedLine extends Line {
  readonly number: number
}

/**
 * What excludes nothing, as earlier versions wrote it, is left out, and `warn` is told of it.
 * @throws StorageError EXCLUSIONS_DAMAGED: a list that cannot be read must not be taken for an empty one
 */
export function readExclusions(home: string, warn: (sentence: string) => void = () => undefined): Exclusions {
  const path = pathIn(home)
  const held = heldBy(readLines(path))
  const valid = (kind: Kind): readonly string[] => {
    const lines = [...held[kind].values()]
    const vain = lines.filter(({ value }) => holdsNothing(kind, value))
    for (const { number, value } of vain) warn(`line ${number} of ${path} excludes nothing: ${JSON.stringify(value)}; the others hold`)
    return lines.filter((line) => !vain.includes(line)).map(({ value }) => value)
  }
  return { directories: valid('directories'), projects: valid('projects'), sessions: valid('sessions') }
}

function heldBy(lines: readonly NumberedLine[]): Readonly<Record<Kind, ReadonlyMap<string, NumberedLine>>> {
  const held = { directories: new Map<string, NumberedLine>(), projects: new Map<string, NumberedLine>(), sessions: new Map<string, NumberedLine>() }
  const started = new Map<string, Set<string>>()
  for (const line of lines) {
    const { op, kind, value, with: root } = line
    if (op === 'exclude') {
      held[kind].set(value, line)
      if (kind === 'sessions' && root !== undefined) started.set(root, (started.get(root) ?? new Set()).add(value))
      continue
    }
    held[kind].delete(value)
    if (kind !== 'sessions') continue
    for (const id of started.get(value) ?? []) held.sessions.delete(id)
    started.delete(value)
  }
  return held
}

/**
 * Adds to the list and gives the new one. `startedBy`: of sessions that are excluded because another one, which started them, is: that one,
 * with which they are taken back.
 * @throws StorageError INVALID_OPTION when something of it would exclude nothing, such as a relative folder
 */
export function addExclusions(home: string, more: Exclusion, startedBy: ReadonlyMap<string, string> = new Map()): Exclusions {
  checkExclusion(more)
  return append(home, 'exclude', more, startedBy)
}

/** Takes from the list, sessions with those that were excluded with them, and gives the new one. @throws StorageError INVALID_OPTION */
export function removeExclusions(home: string, less: Exclusion): Exclusions {
  checkExclusionLists(less)
  return append(home, 'include', less)
}

function append(home: string, op: Line['op'], change: Exclusion, startedBy?: ReadonlyMap<string, string>): Exclusions {
  makeFolder(home)
  const lines = KINDS.flatMap((kind) =>
    (change[kind] ?? []).map((value): Line => ({ op, kind, value, with: kind === 'sessions' ? startedBy?.get(value) : undefined })),
  )
  if (lines.length > 0) appendFileSync(pathIn(home), lines.map((line) => `${JSON.stringify(line)}\n`).join(''), { mode: 0o600 })
  return readExclusions(home)
}

function readLines(path: string): readonly NumberedLine[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return []
    throw new StorageError('EXCLUSIONS_DAMAGED', { reason: `the list of exclusions cannot be read: ${messageOf(error)}`, path }, { cause: error })
  }
  return text.split('\n').flatMap((line, at) => (line === '' ? [] : [parseLine(line, at + 1, path)]))
}

function parseLine(text: string, number: number, path: string): NumberedLine {
  try {
    const { op, kind, value, with: root } = JSON.parse(text)
    if ((op === 'exclude' || op === 'include') && KINDS.includes(kind) && typeof value === 'string')
      // What was excluded under one spelling of its path can be taken back under another.
      return { op, kind, value: kind === 'directories' ? folderName(value) : value, with: typeof root === 'string' ? root : undefined, number }
  } catch {
    // what is no JSON is named below, like any other line that is not ours
  }
  throw new StorageError('EXCLUSIONS_DAMAGED', { reason: `line ${number} of the list of exclusions is not what spanleaf writes`, path })
}

function pathIn(home: string): string {
  return join(home, 'exclude.jsonl')
}

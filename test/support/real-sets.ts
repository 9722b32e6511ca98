/** The data sets that real OpenCode wrote, where they stand beside the repository. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { started } from './started.js'

export const REPOSITORY = resolve(import.meta.dirname, '../..')
export const SHARED = resolve(REPOSITORY, '../shared')
export const SETS_ARE_HERE = existsSync(join(SHARED, 'data', 'unpack.sh'))

/** Sessions, messages, parts with a message, parts without, todo lists (or rows), diff files: the table of the sets' README. */
export const COUNTS: Readonly<Record<string, readonly [number, number, number, number, number, number]>> = {
  'opencode-json-1.1.65': [31, 221, 571, 11, 2, 29],
  'opencode-json-1.1.65-crash': [33, 225, 578, 11, 2, 31],
  'opencode-json-1.1.65-live': [30, 216, 559, 11, 2, 28],
  'opencode-json-1.1.65-live-idle': [29, 214, 555, 11, 2, 27],
  'opencode-sqlite-1.2.1': [31, 221, 571, 0, 3, 29],
  'opencode-sqlite-1.2.1-crash': [33, 225, 578, 0, 3, 31],
  'opencode-sqlite-1.2.1-live': [30, 216, 559, 0, 3, 28],
  'opencode-sqlite-1.2.1-live-idle': [29, 214, 555, 0, 3, 27],
  'opencode-sqlite-1.18.33': [31, 220, 571, 0, 3, 3],
  'opencode-sqlite-1.18.33-crash': [33, 224, 578, 0, 3, 3],
  'opencode-sqlite-1.18.33-live': [30, 215, 559, 0, 3, 3],
  'opencode-sqlite-1.18.33-live-idle': [29, 213, 555, 0, 3, 3],
}

/** Sessions and messages of OpenCode 2, and what its V1 tables hold of the same sessions. */
export const V2_COUNTS: Readonly<
  Record<string, readonly [number, number, both?: { readonly sessions: number; readonly messages: number; readonly parts: number }]>
> = {
  'opencode-2.0.26-dual': [2, 14, { sessions: 1, messages: 4, parts: 10 }],
  'opencode-2-beta': [3, 10],
}

/** Lays every set out below `folder`, each as `<name>/opencode`. */
export function unpackSets(folder: string): void {
  started(() => execFileSync('bash', [join(SHARED, 'data', 'unpack.sh'), folder], { stdio: 'pipe' }))
}

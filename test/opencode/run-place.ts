/** What the launcher tells the suite: the binaries, and where to put things. */
import { spawnSync } from 'node:child_process'
import { appendFileSync, readFileSync } from 'node:fs'

export interface RunPlace {
  /** Holds every machine of this run; the launcher removes it. */
  readonly root: string
  /** One JSON object per line; the launcher prints the table. */
  readonly report: string
  readonly version: string
  /** By version. */
  readonly binaries: Readonly<Record<string, string>>
  readonly chain: readonly string[]
}

export function runPlace(): RunPlace {
  const path = process.env.SPANLEAF_OPENCODE_RUN
  if (path === undefined) throw new Error('start this suite with `npm run test:opencode`')
  return JSON.parse(readFileSync(path, 'utf8')) as RunPlace
}

/** A cell of the table. */
export function tell(place: RunPlace, column: string, value: string | number): void {
  appendFileSync(place.report, `${JSON.stringify({ version: place.version, column, value })}\n`)
}

export function binaryAt(place: RunPlace, version: string): string {
  const binary = place.binaries[version]
  if (binary === undefined) throw new Error(`the launcher fetched no binary of ${version}`)
  return binary
}

/** Without git every project is a plain folder to OpenCode: it works all the same, and takes no snapshots. */
export function hasGit(): boolean {
  return spawnSync('git', ['--version']).status === 0
}

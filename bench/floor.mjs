/** The physical floor below the JSON row: the same files opened, read and closed by plain C. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { cacheFolder, TOOLS } from './corpus.mjs'

/** Microseconds per file and how many files; or why there is no figure. */
export function readFloor(tree) {
  const program = join(cacheFolder(), 'read-floor')
  const compiled = spawnSync('cc', ['-O2', '-o', program, join(TOOLS, 'read-floor.c')])
  if (compiled.status !== 0) return { skipped: 'no C compiler' }
  const files = spawnSync('find', [tree, '-name', '*.json'], { encoding: 'utf8', maxBuffer: 2 ** 28 })
  if (files.status !== 0) return { skipped: 'no find program' }
  const { stdout } = spawnSync(program, { input: files.stdout, encoding: 'utf8' })
  const [, perFile, count] = /^open\+read\+close +([\d.]+) us\/file .*, (\d+) files/m.exec(stdout) ?? []
  if (count === undefined) return { skipped: 'read-floor gave no figure' }
  return { microsecondsPerFile: Number(perFile), files: Number(count), ms: (Number(perFile) * Number(count)) / 1000 }
}

/**
 * Tests run in processes: native modules and file locks do not share well. Files run one after the other in the same few processes and
 * share the modules that are loaded; they leave nothing of theirs behind in them. Temporary files are in memory, unless TMPDIR is set.
 */
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { memoryFolder } from './test/support/memory-folder.js'

const temporary = memoryFolder()

export default defineConfig({
  resolve: { alias: hasBetterSqlite() ? {} : { 'better-sqlite3': fileURLToPath(new URL('./test/support/sqlite-of-node.ts', import.meta.url)) } },
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    isolate: false,
    env: temporary === undefined ? {} : { TMPDIR: temporary },
    // Much of the time is spent waiting for processes and clocks.
    maxWorkers: Math.max(4, availableParallelism()),
    // Many times what they take: a machine that is busy with other work makes them no failures.
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
})

/** Tests write their databases with it; it is built for one version of Node. */
function hasBetterSqlite(): boolean {
  try {
    const Database = createRequire(import.meta.url)('better-sqlite3') as new (path: string) => { close(): void }
    new Database(':memory:').close()
    return true
  } catch {
    return false
  }
}

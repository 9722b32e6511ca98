/** The suite that drives real OpenCode binaries; `npm run test:opencode` starts it, once per version. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/opencode/**/*.lab.ts'],
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['verbose'],
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
})

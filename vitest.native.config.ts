/** The suites that need native packages which are optional, each under every one that loads here. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: { include: ['test/native/**/*.native.ts'], pool: 'forks', reporters: ['verbose'], testTimeout: 120_000, hookTimeout: 180_000 },
})

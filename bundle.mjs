/**
 * What the package's users load: some sixty files in place of four hundred, whose loading alone took most of the time of a short
 * command. All are in one folder, since the worker's thread is found beside the code that starts it. Other packages stay outside.
 */
import { build } from 'rolldown'

await build({
  input: {
    index: 'dist/index.js',
    indexer: 'dist/indexer/index.js',
    spanleaf: 'dist/cli/main.js',
    'worker-main': 'dist/storage/worker/worker-main.js',
  },
  external: /^[^./]/,
  platform: 'node',
  output: { dir: 'dist/bundle', chunkFileNames: '[name]-[hash].js', cleanDir: true },
})

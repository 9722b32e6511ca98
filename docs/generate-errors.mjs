/** Writes docs/errors.md from the error table: `npm run build && node docs/generate-errors.mjs`. */
import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

export function errorsPage(rows) {
  const row = ({ code, retryable, advice }) => `| \`${code}\` | ${retryable ? 'yes' : 'no'} | ${advice.replaceAll('|', '\\|')} |`
  return `# Errors

Every error that spanleaf throws, and every issue that it returns, carries one of these codes. A code never changes its meaning.
*Retry* means: the same call may succeed later without anybody changing anything.
This page is generated from \`src/core/errors.ts\` by \`docs/generate-errors.mjs\`.

| code | retry | advice |
|---|---|---|
${rows.map(row).join('\n')}
`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { errorTable } = await import('../dist/core/errors.js')
  writeFileSync(new URL('errors.md', import.meta.url), errorsPage(errorTable()))
}

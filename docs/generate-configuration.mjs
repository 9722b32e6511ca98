/** Writes docs/configuration.md from the table of settings: `npm run build && node docs/generate-configuration.mjs`. */
import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

export function configurationPage(settings) {
  const row = ([name, setting]) =>
    `| \`${setting.variable}\` | \`${name}\` | ${valuesOf(setting)} | ${defaultOf(setting)} | ${setting.about.replaceAll('|', '\\|')} |`
  return `# Configuration

Nothing needs to be configured: without a word of yours spanleaf embeds with \`hash\` and keeps everything in one folder of this machine.
A service is used when you choose it, never because a variable is missing or a server happens to answer.

## Where settings come from

The first place that names a setting decides:

1. the flags \`--embedder\`, \`--sink\`, \`--redact\` and \`--no-redact\` of the commands that work with the index
2. the environment
3. \`config.json\` in spanleaf's folder (\`--home\`, \`$SPANLEAF_HOME\`, else \`~/.local/state/spanleaf\`)
4. the defaults below

\`spanleaf status\` shows what was chosen and where. A value that is empty, of another kind or out of range is refused by name (INVALID_OPTION) before anything is opened or written, and so is a key that this page does not have; a variable with a name that it does not have is another program's. Flags of the environment are \`true\`/\`false\`, \`1\`/\`0\`, \`yes\`/\`no\`, \`on\`/\`off\`; numbers are whole.

\`\`\`json
{
  "embedder": "ollama",
  "ollamaModel": "nomic-embed-text",
  "sink": "chroma",
  "chromaUrl": "http://localhost:8000"
}
\`\`\`

A \`config.json\` that holds a token should be yours alone (\`chmod 600\`); spanleaf warns when it is not.

Programs read the same settings with \`configFromEnv(process.env)\` and \`readConfigFile(home)\` of \`spanleaf/indexer\`, put them together with \`resolveConfig\`, and hand them to \`openIndexHome({ home, config })\`. What they choose themselves is checked in the same way, by the keys below. Options of \`createIndexer\` that are no settings are in [indexer.md](indexer.md#limits).

## Settings

| variable | key in config.json | values | default | |
|---|---|---|---|---|
${settings.map(row).join('\n')}

Stores are found by the variables of the agents themselves: \`XDG_DATA_HOME\` and \`OPENCODE_DB\` (OpenCode), \`PI_CODING_AGENT_DIR\` and \`PI_CODING_AGENT_SESSION_DIR\` (pi), \`CLAUDE_CONFIG_DIR\` (Claude Code), \`CODEX_HOME\`, \`JCODE_HOME\`; spanleaf's folder by \`SPANLEAF_HOME\` or \`XDG_STATE_HOME\`. This page is generated from \`src/indexer/config/config-settings.ts\` by \`docs/generate-configuration.mjs\`.

## Another embedder, another sink

Vectors of two embedders are never compared. An index that was built with one is not opened with another by accident: when nothing is chosen, spanleaf refuses and says what to pass. When you choose another one (\`spanleaf index --embedder ollama\`), the new vectors are built beside the old ones, which are searched until the new ones are complete; then the old ones go. Another model behind the same name (\`ollama pull\`) counts as another embedder.

Another sink is filled from the cache of embeddings; nothing that the cache holds is embedded again. What the old sink holds of this index is deleted once the new one is filled.
`
}

function valuesOf(setting) {
  if (setting.type === 'word') return setting.words.map((word) => `\`${word}\``).join(', ')
  if (setting.type === 'flag') return 'true, false'
  if (setting.type === 'number') return `${setting.min} to ${setting.max}`
  return { address: 'address', 'ollama-address': 'address', collection: 'name' }[setting.format] ?? setting.format
}

function defaultOf(setting) {
  if (setting.default === undefined) return ''
  return setting.type === 'flag' || setting.type === 'number' ? String(setting.default) : `\`${setting.default}\``
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { settings } = await import('../dist/indexer/config/config-settings.js')
  writeFileSync(new URL('configuration.md', import.meta.url), configurationPage(settings()))
}

/** The options of commands that work with the index. */
import { type Command, Option } from 'commander'
import type { CommonOptions } from './command.js'

export interface ServiceOptions extends CommonOptions {
  readonly embedder?: string
  readonly sink?: string
  readonly redact?: boolean
}

export function withServices(made: Command): Command {
  return made
    .addOption(new Option('--embedder <name>', 'hash (lexical, needs no service) or ollama; what is not chosen is as it was configured'))
    .addOption(new Option('--sink <name>', 'local (a file) or chroma'))
    .addOption(new Option('--redact', 'take known kinds of secrets out of every text, also when it stays on this machine'))
    .addOption(new Option('--no-redact', 'give texts to services as they are'))
}

/** The options of commands that work with the index. */
import type { Command } from 'commander'
import type { CommonOptions } from './command.js'

export interface ServiceOptions extends CommonOptions {
  readonly embedder?: string
  readonly sink?: string
  readonly redact?: boolean
}

export function withServices(made: Command): Command {
  return made
    .optionsGroup('Services:')
    .option('--embedder <name>', 'hash (lexical, needs no service) or ollama; what is not chosen is as it was configured')
    .option('--sink <name>', 'local (a file) or chroma')
    .option('--redact', 'take known kinds of secrets out of every text, also when it stays on this machine')
    .option('--no-redact', 'give texts to services as they are')
}

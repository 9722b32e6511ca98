/** Where settings come from: flags, then the environment, then `config.json` in spanleaf's folder, then the defaults. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isDocument } from '../../core/documents.js'
import { messageOf, StorageError, systemCode } from '../../core/errors.js'
import { type IndexConfig, SETTINGS, type SettingName, settings } from './config-settings.js'
import { valueOfJson, valueOfText } from './config-values.js'

/** What was chosen somewhere. */
export type PartialConfig = { readonly [N in SettingName]?: IndexConfig[N] | undefined }

/** Where the value of a setting comes from. */
export type SettingOrigin = 'flag' | 'environment' | 'file' | 'default'

export interface ResolvedConfig {
  readonly values: IndexConfig
  readonly origins: Readonly<Record<SettingName, SettingOrigin>>
}

/** The settings that the environment names; an unset variable chooses nothing. @throws StorageError INVALID_OPTION, naming the variable */
export function configFromEnv(env: Readonly<Record<string, string | undefined>>): PartialConfig {
  const chosen = settings().flatMap(([name, setting]) => {
    const text = env[setting.variable]
    return text === undefined ? [] : [[name, valueOfText(setting.variable, setting, text)] as const]
  })
  return Object.fromEntries(chosen)
}

/** The settings that flags name, by the names of the table. @throws StorageError INVALID_OPTION, naming the flag */
export function configFromFlags(flags: { readonly [N in SettingName]?: string | boolean | undefined }): PartialConfig {
  const chosen = settings().flatMap(([name, setting]) => {
    const given = flags[name]
    if (given === undefined) return []
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    return [[name, typeof given === 'string' ? valueOfText(flag, setting, given) : valueOfJson(flag, setting, given)] as const]
  })
  return Object.fromEntries(chosen)
}

/** The path of the config file. */
export function configPath(home: string): string {
  return join(home, 'config.json')
}

/**
 * The settings of the config file, none when there is no file; `warning` when others may read the token in it.
 * @throws StorageError INVALID_OPTION, naming the key and the file
 */
export function readConfigFile(home: string): { readonly config: PartialConfig; readonly warning: string | undefined } {
  const path = configPath(home)
  const text = textOf(path)
  if (text === undefined) return { config: {}, warning: undefined }
  const config: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(parsed(text, path))) {
    if (!Object.hasOwn(SETTINGS, key)) throw new StorageError('INVALID_OPTION', { reason: `there is no setting ${JSON.stringify(key)}`, path })
    config[key] = inFile(path, () => valueOfJson(key, SETTINGS[key as SettingName], value))
  }
  const open = config.chromaToken !== undefined && isReadByOthers(path)
  return { config, warning: open ? `${path} holds a token and others may read it; make it yours alone: chmod 600 ${path}` : undefined }
}

/** The first that names a setting decides. @throws StorageError INVALID_OPTION when two values do not go together */
export function resolveConfig(chosen: {
  readonly flags?: PartialConfig
  readonly env?: PartialConfig
  readonly file?: PartialConfig
}): ResolvedConfig {
  const values: Record<string, unknown> = {}
  const origins: Record<string, SettingOrigin> = {}
  for (const [name, setting] of settings()) {
    const sources = [
      ['flag', chosen.flags?.[name]],
      ['environment', chosen.env?.[name]],
      ['file', chosen.file?.[name]],
    ] as const
    const [origin, value] = sources.find(([, given]) => given !== undefined) ?? ['default', setting.default]
    values[name] = value
    origins[name] = origin
  }
  const config = { values: values as IndexConfig, origins: origins as Record<SettingName, SettingOrigin> }
  const { backoffBaseMs, backoffMaxMs } = config.values
  if (backoffBaseMs <= backoffMaxMs) return config
  throw new StorageError('INVALID_OPTION', {
    reason: `${SETTINGS.backoffBaseMs.variable} (${backoffBaseMs}) must not exceed ${SETTINGS.backoffMaxMs.variable} (${backoffMaxMs})`,
  })
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw new StorageError(
      'INVALID_OPTION',
      {
        reason: `the config file cannot be read: ${systemCode(error) ?? messageOf(error)}`,
        path,
        advice: 'Check the permissions of the path and of its folder.',
      },
      { cause: error },
    )
  }
}

function parsed(text: string, path: string): object {
  try {
    const value: unknown = JSON.parse(text)
    if (isDocument(value)) return value
  } catch {
    // Said below; the words of the parser may quote a token.
  }
  throw new StorageError('INVALID_OPTION', { reason: 'the config file is no JSON object', path })
}

function inFile<T>(path: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    throw error instanceof StorageError ? new StorageError(error.code, { reason: error.reason, path }) : error
  }
}

/** Where the system has no such bits, nobody is named. */
function isReadByOthers(path: string): boolean {
  return process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0
}

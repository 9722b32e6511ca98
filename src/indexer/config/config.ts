/** Where settings come from: flags, then the environment, then `config.json` in spanleaf's folder, then the defaults. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isDocument } from '../../core/documents.js'
import { messageOf, StorageError, systemCode } from '../../core/errors.js'
import { checkObject, refuseUnknown, told } from '../../core/options.js'
import { type IndexConfig, SETTINGS, type Setting, type SettingName, settings } from './config-settings.js'
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
  checkObject('the environment', env)
  const chosen = settings().flatMap(([name, setting]) => {
    const given = env[setting.variable]
    return given === undefined ? [] : [[name, valueOfAny(setting.variable, setting, given)] as const]
  })
  return Object.fromEntries(chosen)
}

/** The settings that flags name, by the names of the table. @throws StorageError INVALID_OPTION, naming the flag, or a name that is none */
export function configFromFlags(flags: { readonly [N in SettingName]?: string | boolean | undefined }): PartialConfig {
  return checked(flags, 'the flags', (name, setting, given) => {
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    return valueOfAny(flag, setting, given)
  })
}

/** Settings that a program chose. `what`: what they were given as. @throws StorageError INVALID_OPTION, naming the setting */
export function checkedConfig(given: PartialConfig, what = 'config'): PartialConfig {
  return checked(given, what, valueOfJson)
}

type Check = (name: SettingName, setting: Setting, value: unknown) => unknown

/** The one way in for what is given by the names of the table: each name is a setting, each value one of its. */
function checked(given: object, what: string, check: Check, path?: string): PartialConfig {
  checkObject(what, given)
  const config: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(SETTINGS, name)) throw new StorageError('INVALID_OPTION', { reason: `there is no setting ${told(name)}`, path })
    if (value !== undefined) config[name] = check(name as SettingName, SETTINGS[name as SettingName], value)
  }
  return config
}

function valueOfAny(name: string, setting: Setting, given: unknown): unknown {
  return typeof given === 'string' ? valueOfText(name, setting, given) : valueOfJson(name, setting, given)
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
  const config = checked(parsed(text, path), 'the config file', (key, setting, value) => inFile(path, () => valueOfJson(key, setting, value)), path)
  const open = config.chromaToken !== undefined && isReadByOthers(path)
  return { config, warning: open ? `${path} holds a token and others may read it; make it yours alone: chmod 600 ${path}` : undefined }
}

/** The first that names a setting decides. @throws StorageError INVALID_OPTION, naming the setting; also when two values do not go together */
export function resolveConfig(chosen: {
  readonly flags?: PartialConfig
  readonly env?: PartialConfig
  readonly file?: PartialConfig
}): ResolvedConfig {
  refuseUnknown(chosen, ['flags', 'env', 'file'])
  const [flags, env, file] = (['flags', 'env', 'file'] as const).map((from) =>
    chosen[from] === undefined ? undefined : checkedConfig(chosen[from], from),
  )
  const values: Record<string, unknown> = {}
  const origins: Record<string, SettingOrigin> = {}
  for (const [name, setting] of settings()) {
    const sources = [
      ['flag', flags?.[name]],
      ['environment', env?.[name]],
      ['file', file?.[name]],
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

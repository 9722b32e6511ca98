/** What Codex itself writes into a conversation in the user's name: surroundings, instructions, marks. Nobody typed it. */
const OPENINGS = [
  '<environment_context>',
  '<user_instructions>',
  '<INSTRUCTIONS>',
  '# AGENTS.md instructions for ',
  '<turn_aborted>',
  '<permissions instructions>',
  '<collaboration_mode>',
  '<skill>',
  '<subagent_notification>',
  '<model_switch>',
]

/** By the beginning of a text; 32 characters are enough. */
export function isToldByAgent(text: string): boolean {
  return OPENINGS.some((opening) => text.startsWith(opening))
}

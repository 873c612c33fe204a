/** The files of one command: none that it writes may be another one that it reads or writes. */
import { realpathSync, statSync } from "node:fs";
import path from "node:path";

import { badOption } from "./options/kinds";

/** Files by the argument or option that names them; null where none is. */
export type FileRoles = Readonly<Record<string, string | readonly string[] | null | undefined>>;

interface Role {
  option: string;
  file: string;
  identity: string;
}

/**
 * Refuses a command that would write one file twice, or over what it reads, before anything is loaded. Links and other
 * spellings of a path count as the file that they lead to.
 *
 * @throws `ERR_CLI_OPTION`
 */
export function requireApart(written: FileRoles, read: FileRoles = {}): void {
  const taken = rolesOf(read);
  for (const role of rolesOf(written)) {
    const other = taken.find(({ identity }) => identity === role.identity);
    if (other !== undefined) {
      throw badOption(
        `${role.option} and ${other.option} are the same file, ${role.file}: it would be overwritten. Name another file for ${role.option}.`,
      );
    }
    taken.push(role);
  }
}

function rolesOf(roles: FileRoles): Role[] {
  return Object.entries(roles).flatMap(([option, files]) =>
    [files ?? []].flat().map((entry) => {
      // `--data name=file.npy` names an array.
      const file = /^\w+=(.+\.npy)$/.exec(entry)?.[1] ?? entry;
      return { option, file, identity: identityOf(file) };
    }),
  );
}

/** The same for all paths of a file, whether it exists or not. */
function identityOf(file: string): string {
  try {
    const { dev, ino } = statSync(file, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return path.join(realFolder(path.dirname(path.resolve(file))), path.basename(file));
  }
}

function realFolder(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    const parent = path.dirname(folder);
    return parent === folder ? folder : path.join(realFolder(parent), path.basename(folder));
  }
}

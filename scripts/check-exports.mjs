// Fails when what the addon exports differs from NativeAddon of lib/native/addon.ts, whose parts lib/native/types/
// declares: functions, classes, and the members of each class. Needs a built addon and dist/.
import { createRequire } from "node:module";
import path from "node:path";

import { main, root, SetupError } from "./lib/run.mjs";

const require = createRequire(import.meta.url);

/** Export name → where it is declared, and for a class its { static, instance } names; from the types. */
function declared() {
  const ts = require("typescript");
  const file = path.join(root, "lib", "native", "addon.ts");
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile).config,
    ts.sys,
    root,
  );
  const program = ts.createProgram([file], options);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(file);
  const symbol = checker
    .getExportsOfModule(checker.getSymbolAtLocation(source))
    .find((s) => s.name === "NativeAddon");
  if (!symbol) throw new SetupError("lib/native/addon.ts exports no NativeAddon.");
  const names = (type) => checker.getPropertiesOfType(type).map((property) => property.name);
  return new Map(
    checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol)).map((property) => {
      const type = checker.getTypeOfSymbolAtLocation(property, source);
      const [construct] = type.getConstructSignatures();
      const where = path.relative(root, property.declarations[0].getSourceFile().fileName);
      if (!construct) return [property.name, { where, static: [], instance: [] }];
      return [
        property.name,
        {
          where,
          static: names(type).filter((name) => name !== "prototype"),
          instance: names(construct.getReturnType()),
        },
      ];
    }),
  );
}

/** The same for the loaded addon. A function whose prototype has members, or that has members itself, is a class. */
function exported() {
  const addon = require(path.join(root, "dist", "native", "load.js")).loadNative();
  const own = (object, hidden) =>
    Object.getOwnPropertyNames(object ?? {}).filter((name) => !hidden.includes(name));
  const members = (value) => ({
    static: own(value, ["length", "name", "prototype", "arguments", "caller"]),
    instance: own(value.prototype, ["constructor"]),
  });
  return new Map(Object.entries(addon).map(([name, value]) => [name, members(value)]));
}

function differences(prefix, where, declaredNames, exportedNames) {
  const inFirst = (a, b) => a.filter((name) => !b.includes(name));
  return [
    ...inFirst(declaredNames, exportedNames).map(
      (name) => `${prefix}${name} is declared in ${where}, but the addon doesn't export it`,
    ),
    ...inFirst(exportedNames, declaredNames).map(
      (name) => `${prefix}${name} is exported, but ${where} doesn't declare it`,
    ),
  ];
}

main(() => {
  const types = declared();
  const values = exported();
  const problems = differences("", "lib/native/types", [...types.keys()], [...values.keys()]);
  for (const [name, wanted] of types) {
    const got = values.get(name);
    if (got === undefined) continue;
    problems.push(...differences(`${name}.`, wanted.where, wanted.static, got.static));
    problems.push(...differences(`${name}.prototype.`, wanted.where, wanted.instance, got.instance));
  }
  if (problems.length > 0)
    throw new SetupError(`lib/native/types and the addon differ:\n  ${problems.join("\n  ")}`);
  process.stderr.write(`${types.size} exports agree with lib/native/types\n`);
});

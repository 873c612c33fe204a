/** Final members: Python's type checkers enforce `@final`, here it is checked when an object is constructed. */
import { TorchSearchError } from "../errors";

type Class = abstract new (...args: never[]) => object;

/**
 * Refuses a subclass whose constructor takes parameters, or that overrides one of the final members. JavaScript itself
 * refuses a class field or an assignment of that name, with a TypeError.
 *
 * @param instance the object being constructed
 * @param base the class whose members are final
 * @param argumentCount the number of arguments that reached the base constructor
 * @throws `ERR_FINAL_MEMBER`
 */
export function enforceFinalMembers(
  instance: object,
  base: Class,
  members: readonly string[],
  argumentCount: number,
): void {
  for (
    let current: unknown = instance.constructor;
    current !== base && typeof current === "function";
    current = Object.getPrototypeOf(current)
  ) {
    const { name, prototype, length } = current as { name: string; prototype: object; length: number };
    if (length > 0 || argumentCount > 0) {
      throw new TorchSearchError(
        "ERR_FINAL_MEMBER",
        `The constructor of ${base.name} is final: ${name || "a subclass"} must not take constructor parameters. ` +
          "Add keys to defaultSearchConfig and pass them to search() instead.",
      );
    }
    for (const member of members) {
      if (Object.hasOwn(prototype, member)) {
        throw new TorchSearchError(
          "ERR_FINAL_MEMBER",
          `${base.name}.${member} is final: ${name || "a subclass"} must not override it. ` +
            "Override beforeSearch, runSearch or afterSearch instead.",
        );
      }
    }
  }
  for (const member of members) {
    const value: unknown = (base.prototype as Record<string, unknown>)[member];
    Object.defineProperty(instance, member, {
      value,
      writable: false,
      enumerable: false,
      configurable: false,
    });
  }
}

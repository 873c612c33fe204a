/** Python's `ABC` refuses to make an object of a class that lacks abstract members; this does so here. */
import { TorchSearchError } from "../errors";

/** A class that may list its abstract members, and how each is written, such as `a method runSearch()`. */
interface AbstractClass {
  readonly name: string;
  readonly abstractMembers?: Readonly<Record<string, string>>;
}

/**
 * Refuses an object whose class doesn't implement what the classes above it list as `abstractMembers`. Only members
 * of classes count, as in Python: fields don't exist yet when the base class's constructor runs.
 *
 * @throws `ERR_ABSTRACT_CLASS` naming the members to implement
 */
export function requireImplemented(instance: object): void {
  const own = instance.constructor as AbstractClass;
  for (
    let current: AbstractClass | null = own;
    current !== null;
    current = Object.getPrototypeOf(current) as AbstractClass | null
  ) {
    if (!Object.hasOwn(current, "abstractMembers")) continue;
    const members = current.abstractMembers ?? {};
    const missing = Object.keys(members).filter((member) => !(member in instance));
    if (missing.length === 0) continue;
    const needed = missing.map((member) => members[member]).join(" and ");
    throw new TorchSearchError(
      "ERR_ABSTRACT_CLASS",
      own === current
        ? `${current.name} is abstract: make a subclass of it that has ${needed}.`
        : `${own.name || "This subclass"} is abstract, because it lacks ${missing.join(" and ")} of ${current.name}: ` +
            `add ${needed} to the class. A field does not count.`,
    );
  }
}

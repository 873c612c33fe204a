/**
 * Several processes that share a search.
 *
 * @module torchsearch/distributed
 */
export type { Group } from "../distributed/group";
export { type JoinGroupOptions, joinGroup } from "../distributed/join";

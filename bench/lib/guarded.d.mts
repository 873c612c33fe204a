interface Ratio {
  min: number;
  median: number;
  max: number;
}
export const FAILS_BEYOND: number;
export function compare(
  stored: Record<string, Ratio>,
  found: Record<string, Ratio>,
): { name: string; before?: Ratio; now?: Ratio; fell?: number; verdict: string }[];

/** Orders of the pages of the kinds of memory that are hugetlb. */
export const HUGE_ORDERS: Readonly<Record<string, number>> = {
  huge2m: 9,
  huge1g: 18,
  memfd2m: 9,
  memfd1g: 18,
};

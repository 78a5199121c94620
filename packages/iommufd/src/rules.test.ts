/** Which release has what of iommufd. */
import { describe, expect, it } from 'vitest';
import { IOMMUFD_RULES_7_2, iommufdRules } from './rules.ts';

describe('iommufd of a release', () => {
  it.each([
    ['6.12', { mapFile: false, dmabuf: false, changeProcess: false }],
    ['6.18', { mapFile: true, dmabuf: false, changeProcess: false }],
    ['7.3', { mapFile: true, dmabuf: true, changeProcess: true }],
  ])('of %s', (series, rules) => {
    expect(iommufdRules(series)).toMatchObject({ series, ...rules });
  });

  it('is not there in 6.1', () => {
    expect(iommufdRules('6.1')).toBeNull();
  });

  it('of 7.2 is as recorded, and says what nobody has verified', () => {
    const rules = iommufdRules('7.2');
    expect({ ...rules, source: '' }).toEqual({ ...IOMMUFD_RULES_7_2, source: '' });
    expect(rules?.source).toContain('not verified');
  });
});

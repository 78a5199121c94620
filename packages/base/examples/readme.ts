import { PAGE_SIZE, pageNumber } from '@pinfold/base';

console.log(`4 GiB are ${pageNumber(4n * 1024n ** 3n)} pages of ${PAGE_SIZE} bytes`);

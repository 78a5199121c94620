import * as vfio from '@pinfold/vfio-type1';

console.log(Object.keys(vfio).length > 0);

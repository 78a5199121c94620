import { ExecModel, machineOfWords } from '@pinfold/exec';

// What the command does for every call of a program: an operation of the model, which is kept.
const model = new ExecModel('6.18', machineOfWords('iommu=amd'));
model.openContainer('C');
console.log(model.perform({ op: 'opengroup', dev: 'edu' }).code);
console.log(model.perform({ op: 'opengroup', dev: 'edu' }).code);
console.log(model.scenario());

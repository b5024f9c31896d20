import { register } from "tsx/esm/api"; register();
const { modelOf } = await import("./test/kernel/explore-random.ts");
const { misses } = await import("./test/kernel/models.ts");
console.log(misses(modelOf("complete0 set1 spin1 | spin1 wait0",3,1),{most:5000,bounds:[0,1,2]}));

import { register } from "tsx/esm/api"; register();
const { task, Things } = await import("./test/kernel/explore-random.ts");
const { boot, run, spawn } = await import("./kernel/arch/machine.ts");
const { dpor_search } = await import("./kernel/explore/dpor.ts");
const { prepare } = await import("./kernel/explore/strategy.ts");
const { recording_schedule, decisions_to_token } = await import("./kernel/explore/replay.ts");
const { step_order } = await import("./kernel/explore/races.ts");
const [spec,cpus,faults,bound]=process.argv.slice(2);
const start=()=>{const tasks=spec.split("|").map(t=>t.trim().split(/\s+/).filter(Boolean).map(o=>({kind:o.slice(0,-1),which:+o.slice(-1)})));const th=new Things();const seen=tasks.map(()=>[]);tasks.forEach((ops,i)=>spawn("t"+i,task(ops,th,seen[i])));return()=>[...th.data.map(d=>d.x+"/"+d.y),...seen.map(s=>s.join())].join(" ");};
function all(reduction){ const s=new dpor_search({preemptions:+bound,reduction}); const by=new Map(), runs=new Map();
 for(let p=s.next();p;p=s.next()){ const {schedule,learned}=prepare(p); const r=new recording_schedule(schedule); boot({cpus:+cpus,faults:+faults,outside:true,schedule:r,max_steps:10000,stacks:false}); const f=start(); const o=run()+" "+f(); const d=learned(r.decisions); runs.set(decisions_to_token(r.decisions),{o,schedule,d}); if(!by.has(o))by.set(o,[]); by.get(o).push(r.decisions); s.learn(p,{asked:0,dpor:d}); } return {by,runs}; }
const A=all("all"),B=all("bound");
for(const [o,ds] of A.by) if(!B.by.has(o)){ console.log("missing",o); for(const d of ds.slice(0,4)){ console.log(" as",decisions_to_token(d)); for(let i=0;i<=d.length;i++){ const t=decisions_to_token(d.slice(0,i)); console.log("   prefix",t||"(root)",B.runs.has(t), B.runs.get(t)?.o); } 
 const last=[...Array(d.length+1).keys()].reverse().map(i=>decisions_to_token(d.slice(0,i))).find(t=>B.runs.has(t)); const x=A.runs.get(decisions_to_token(d)); x.schedule.steps.forEach((s,i)=>console.log("     ",i,"t",s.task,"from",s.from.join(),"me",s.me,"q",s.question,"c",s.choice,"pre",s.preemptions,s.all?"ALL":"",s.scarce?"SCARCE":"")); console.log("   others",JSON.stringify(x.schedule.others.map(o=>[o.at,o.n,o.step]))); const y=B.runs.get(last); console.log("   last in reduced",last); y.schedule.steps.forEach((s,i)=>console.log("     ",i,"t",s.task,"from",s.from.join(),"me",s.me,"q",s.question,"c",s.choice,"pre",s.preemptions,s.all?"ALL":"",s.scarce?"SCARCE":"")); console.log(JSON.stringify(y.d.wishes.map(w=>[decisions_to_token(w.prefix),w.at,w.choices,w.preemptions]))); break; } }

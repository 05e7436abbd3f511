// Packages without types of their own. Those that others have written for them are not what is tested.
declare module "compression"
declare module "express"
declare module "koa"
declare module "multer"
declare module "needle"
declare module "superagent"
